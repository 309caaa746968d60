import { decode, messages } from "./frames";
import type { Opener } from "./transport";

export const openWebSocket: Opener = (base, link) => {
  const socket = new WebSocket(`${base.replace(/^http/, "ws")}websocket`);
  socket.onopen = () => socket.send(link.hello());
  socket.onmessage = ({ data }: MessageEvent<string>) => {
    try {
      link.heard(decode(data));
    } catch {
      socket.close();
    }
  };
  socket.onclose = ({ code, reason }) => link.ended(code, reason);
  return {
    send: (lines) => messages(lines).forEach((message) => socket.send(message)),
    close() {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    },
  };
};
