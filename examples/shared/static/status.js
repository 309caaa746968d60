// The pill in the header: what the client says of itself, as it is, and when it tries again.

export const TRANSPORTS = { websocket: "WebSocket", sse: "SSE", poll: "long poll" };
const WRITE_MS = 250;

export function showStatus(rt) {
  const [pill, text, more] = ["status", "status-text", "status-more"].map((id) => document.getElementById(id));
  let toldAt = Date.now();
  const count = () => {
    const { retryInMs } = rt.status;
    const seconds = retryInMs === null ? 0 : Math.ceil((toldAt + retryInMs - Date.now()) / 1000);
    more.textContent = seconds > 0 ? `, trying again in ${seconds} s` : "";
  };
  const show = () => {
    toldAt = Date.now();
    pill.dataset.state = rt.status.state;
    text.textContent = rt.status.text;
    count();
  };
  rt.on("status", show);
  show();
  setInterval(count, WRITE_MS);
}
