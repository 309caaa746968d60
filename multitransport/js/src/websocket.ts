import { asMessage, fromMessage, type Line } from "./binary";
import { decode, messages, type ServerFrame } from "./frames";
import type { Opener } from "./transport";

export const openWebSocket: Opener = (base, link) => {
  const socket = new WebSocket(`${base.replace(/^http/, "ws")}websocket`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => socket.send(link.hello());
  socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
    try {
      link.heard(typeof data === "string" ? decode(data) : [fromMessage(data) as ServerFrame]);
    } catch {
      socket.close();
    }
  };
  socket.onclose = ({ code, reason }) => link.ended(code, reason);
  const send = (lines: Line[]) => {
    const run: string[] = [];
    const flush = () => messages(run.splice(0)).forEach((message) => socket.send(message));
    for (const line of lines) {
      if (typeof line === "string") run.push(line);
      else {
        flush();
        socket.send(asMessage(line));
      }
    }
    flush();
  };
  return {
    send,
    close() {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    },
  };
};
