// A real HTTP server that answers as a test says, and a link that writes down what it is told.
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { ServerFrame } from "../src/frames";
import type { Link } from "../src/transport";

export interface Request {
  readonly path: string;
  readonly type: string | undefined;
  readonly frames: unknown[][];
  readonly response: ServerResponse;
}

export class AnsweringServer {
  readonly requests: Request[] = [];
  readonly #server: Server;
  #waiting: (() => void)[] = [];

  constructor(answer: (request: Request, number: number) => void) {
    this.#server = createServer((message, response) => {
      void this.#read(message).then((body) => {
        const frames = body.split("\n").map((line) => JSON.parse(line) as unknown[]);
        const request = { path: message.url ?? "", type: message.headers["content-type"], frames, response };
        this.requests.push(request);
        answer(request, this.requests.length);
        for (const look of this.#waiting) look();
      });
    });
  }

  async start(): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`;
  }

  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Wait until so many requests have come. */
  async came(count: number): Promise<void> {
    while (this.requests.length < count) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  async #read(message: IncomingMessage): Promise<string> {
    let body = "";
    for await (const piece of message) body += String(piece);
    return body;
  }
}

export const respond = (response: ServerResponse, status: number, type: string, body: string): void => {
  response.writeHead(status, { "Content-Type": type }).end(body);
};

export const ndjson = (response: ServerResponse, ...frames: unknown[][]): void =>
  respond(response, 200, "application/x-ndjson", frames.map((frame) => JSON.stringify(frame)).join("\n"));

export class NotedLink implements Link {
  attach = 0;
  readonly frames: ServerFrame[] = [];
  ends = 0;
  #waiting: (() => void)[] = [];

  hello(wait?: number): string {
    this.attach += 1;
    return JSON.stringify(["hello", { attach: this.attach, wait }]);
  }

  sendHello(): string {
    return JSON.stringify(["hello", { attach: this.attach }]);
  }

  heard(frames: ServerFrame[]): void {
    this.frames.push(...frames);
    for (const look of this.#waiting) look();
  }

  ended(): void {
    this.ends += 1;
    for (const look of this.#waiting) look();
  }

  async until(met: () => boolean): Promise<void> {
    while (!met()) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}
