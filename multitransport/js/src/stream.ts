import { EventReader } from "./eventstream";
import { decode } from "./frames";
import { post } from "./http";
import { Sender } from "./sender";
import type { Opener } from "./transport";

export const openStream: Opener = (base, link) => {
  const abort = new AbortController();
  const sender = new Sender(`${base}send`, link, abort.signal);
  const read = async () => {
    const response = await post(`${base}sse`, link.hello(), abort.signal);
    if (!/^text\/event-stream/.test(response.headers.get("Content-Type") ?? "")) return link.heard(decode(await response.text()));
    const reader = response.body?.getReader();
    const events = new EventReader();
    for (let piece; (piece = await reader?.read()) && piece.value; ) {
      for (const message of events.push(piece.value)) link.heard(decode(message));
    }
  };
  void read()
    .catch(() => {})
    .then(() => link.ended());
  return {
    get busy() {
      return sender.busy;
    },
    send: (lines) => sender.send(lines),
    close: () => abort.abort(),
  };
};
