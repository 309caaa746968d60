// What the types of a page say is checked by tsc; nothing runs.
import type { Client, Member, Publication } from "../src/api";

interface Message {
  text: string;
}

interface Page {
  requests: { greet(data: { name: string }): string; refresh(): Promise<number>; tell(note?: string): void };
  rooms: { [room: `chat/${string}`]: { message: Message; typing: boolean }; ticker: { price: number } };
  inbox: { note: Message };
  asks: { confirm(question: string): boolean };
}

type Is<Wanted> = (value: Wanted) => void;

export async function typed(client: Client<Page>, text: Is<string>, count: Is<number>, message: Is<Message>, members: Is<Iterable<Member>>) {
  text(await client.request("greet", { name: "Ann" }, { timeoutMs: 1, signal: AbortSignal.timeout(1) }));
  count(await client.request("refresh"));
  await client.send("tell");
  // @ts-expect-error the data is missing
  await client.request("greet");
  // @ts-expect-error the data is of another type
  await client.request("greet", { name: 1 });
  // @ts-expect-error there is no such handler
  await client.request("great");
  const chat = client.join("chat/42", { history: 5, keep: 10 }).on("message", (data, publication) => {
    message(data);
    // @ts-expect-error where a key has ended there is no data
    message(publication.data);
    if (!publication.deleted) message(publication.data);
  });
  // @ts-expect-error there is no such event
  chat.on("massage", () => {});
  members(chat.presence.values());
  for await (const publication of chat) {
    const either: Publication<Message | boolean> = publication;
    text(either.event);
    if (publication.event === "message" && !publication.deleted) message(publication.data);
  }
  count(client.join("ticker", { maxRate: 4, position: ["e", 1] }).state.get("k")?.data ?? 0);
  await chat.publish("message", { text: "hi" }, { key: "k" });
  await chat.publish("message", null, { key: "k", deleted: true });
  // @ts-expect-error there is no such event
  await chat.publish("massage", { text: "hi" });
  // @ts-expect-error the data is of another type
  await chat.publish("message", 1);
  // @ts-expect-error the data is missing
  await chat.publish("message");
  // @ts-expect-error there is no such room
  client.join("chats/42");
  client.on("note", message).on("status", ({ text: words }) => text(words)).on("*", (data: unknown) => text(String(data)));
  client.handle("confirm", (question) => question.length > 1).handle("confirm", async () => Promise.resolve(true));
  // @ts-expect-error the reply is of another type
  client.handle("confirm", () => "yes");
}

export async function untyped(client: Client, count: Is<number>, text: Is<string>) {
  count(await client.request<number>("add", [1, 2]));
  client.join<{ x: number }>("a").on("x", count);
  client.join("b").on("anything", (data) => text(data as string));
  client.on("anything", (data) => text(data as string)).handle("whatever", (data) => data);
  await client.send("anything", new Uint8Array());
}
