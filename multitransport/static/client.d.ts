/**
 * Why a request, a send, a publish or a join was not carried out.
 *
 * `code` is an error code of the protocol, one of the application's own, or what the client itself found: `timed_out`, `queue_full`,
 * `too_large`, `left`, `closed`, `outcome_unknown`.
 */
export declare class RequestError extends Error {
    readonly code: string;
    readonly name = "RequestError";
    constructor(code: string, message: string);
}

export declare const CLOSE: {
    readonly going_away: 3000;
    readonly ping_timeout: 3001;
    readonly session_lost: 3002;
    readonly stalled: 3003;
    readonly internal: 3004;
    readonly too_many_sessions: 3005;
    readonly stale_attach: 3006;
    readonly too_slow: 3007;
    readonly transport_not_allowed: 3008;
    readonly slow: 3009;
    readonly unavailable: 3010;
    readonly superseded: 3500;
    readonly bad_message: 3501;
    readonly too_large: 3502;
    readonly bad_protocol: 3503;
    readonly unsupported_version: 3504;
    readonly refused: 3505;
    readonly other_user: 3506;
    readonly bad_origin: 3507;
    readonly unsupported_media_type: 3508;
    readonly bye: 3509;
    readonly method_not_allowed: 3510;
    readonly not_found: 3511;
    readonly ended: 3512;
};

export type TransportName = "websocket" | "sse" | "poll";
/** A place in a room's log: everything up to this offset has been seen. */
export type Position = readonly [epoch: string, offset: number];
/** What any publication tells beside its data. */
export interface Told<Name extends string> {
    readonly room: string;
    readonly event: Name;
    /** Null for a volatile one, which is kept nowhere. */
    readonly offset: number | null;
    readonly position: Position;
    /** The session that published it, where a client did. */
    readonly from: string | undefined;
    /** What it is the newest value of, in a state room. */
    readonly key: string | undefined;
}
/** `data` is a Uint8Array where bytes were published. `deleted`: the key has ended, and the data is null. */
export type Publication<Data = unknown, Name extends string = string> = Told<Name> & ({
    readonly deleted: false;
    readonly data: Data;
} | {
    readonly deleted: true;
    readonly data: null;
});
/** What a key of a state room is now. */
export type Kept<Events extends object = Record<string, unknown>> = Extract<AnyPublication<Events>, {
    deleted: false;
}>;
/** Any of a room's publications: its `event` says what its data is. */
export type AnyPublication<Events extends object> = {
    [Name in keyof Events & string]: Publication<Events[Name], Name>;
}[keyof Events & string];
/** Publications the room's log no longer holds. `lost` is how many, null where nobody can know. */
export interface Gap {
    readonly lost: number | null;
    readonly position: Position;
}
/** A user with all their sessions in the room, the one that changed last at the end, or one anonymous session. */
export interface Member {
    readonly id: string;
    readonly user: string | null;
    readonly metas: readonly {
        readonly session: string;
        readonly transport: TransportName | null;
        readonly meta: unknown;
    }[];
}
export interface PresenceChange {
    readonly entered: readonly Member[];
    readonly changed: readonly Member[];
    readonly left: readonly Member[];
}
export interface RoomOptions {
    /** How many of the latest publications a newcomer gets. Default: what the room declares. */
    history?: number;
    /** Begin after this one, also as the text `epoch:offset`: what the server rendered into the page goes up to it. */
    position?: Position | string;
    /** How often a state room may be told, times a second; above 0, at most 1,000. Default: as often as it changes. */
    maxRate?: number;
    /** How many publications `room.history` holds. Default: 100. */
    keep?: number;
}
export interface PublishOptions {
    /** What this is the newest value of, in a state room. */
    key?: string;
    /** The key ends. */
    deleted?: boolean;
}
export interface Room<Events extends object = Record<string, unknown>> extends AsyncIterable<AnyPublication<Events>> {
    readonly name: string;
    /** Resolves when the room is joined for the first time; rejects with a RequestError where it is refused, or left before. */
    readonly joined: Promise<void>;
    /** The last publication seen; in a state room the place up to which all changes were. Null before the first join. */
    readonly position: Position | null;
    /** The newest publication of each key of a state room. The map itself changes. */
    readonly state: ReadonlyMap<string, Kept<Events>>;
    /** The latest publications received, the oldest first; volatile ones are not among them. The array itself changes. */
    readonly history: readonly AnyPublication<Events>[];
    /** Who is in a room with presence, by member id, this page included. The map itself changes. */
    readonly presence: ReadonlyMap<string, Member>;
    readonly maxRate: number | null;
    /** Call `listener` for each publication of this event. `"*"` means every event. Where a key has ended the data is null, whatever its type. */
    on<Name extends keyof Events & string>(event: Name, listener: (data: Events[Name], publication: Publication<Events[Name], Name>) => void): this;
    on(event: "*", listener: (data: Events[keyof Events], publication: AnyPublication<Events>) => void): this;
    /** Stop calling `listener` for this event. */
    off(event: string, listener: (data: never, publication: never) => void): this;
    /** Call `listener` whenever publications were lost. What comes next is live again; a state room tells all it has anew. */
    onGap(listener: (gap: Gap) => void): this;
    /** Call `listener` when the room is left by the server's will; the error says why, where the server said so. */
    onLeft(listener: (error: RequestError | null) => void): this;
    /** Call `listener` whenever `presence` has changed. Those who were there before this page are told as entered. */
    onPresence(listener: (change: PresenceChange) => void): this;
    /** Publish to the room; bytes arrive as a Uint8Array. Resolves when the server has taken it; rejects with a RequestError. */
    publish<Name extends keyof Events & string>(event: Name, ...rest: Arguments<Events[Name], PublishOptions>): Promise<void>;
    publish(event: keyof Events & string, data: null, options: PublishOptions & {
        deleted: true;
    }): Promise<void>;
    /** Change what others see of this session in the room. */
    setPresence(meta: unknown): Promise<void>;
    /** Have a state room told at most so often a second; null: as often as it changes. Resolves when the server has taken it. */
    setMaxRate(rate: number | null): Promise<void>;
    /** Leave the room. No listener is called any more, and loops over it end. */
    leave(): Promise<void>;
}
export interface Status {
    /**
     * `connecting`: an attempt is under way. `live`: a transport carries the session. `offline`: waiting for the next attempt. `closed`: for
     * good.
     */
    readonly state: "connecting" | "live" | "offline" | "closed";
    /** All of it in a few words, for a page to show. */
    readonly text: string;
    /** Live again, and what was missed is still on its way. */
    readonly catchingUp: boolean;
    /** What carries the session now. */
    readonly transport: TransportName | null;
    readonly session: string | null;
    /** Attempts since a transport last proved to be lasting. */
    readonly attempt: number;
    /** The wait before the next attempt, from when this status was told. Null unless offline. */
    readonly retryInMs: number | null;
    /** When the session was last carried, in ms since 1970; null while live, and before the first failure. */
    readonly offlineSinceMs: number | null;
    readonly roundTripMs: number | null;
    /** How often the session was taken up again. */
    readonly reconnects: number;
    /** The close code, where the server sent one; null while all is well. */
    readonly code: number | null;
    /** Why, in words. */
    readonly reason: string;
}
export interface Stats {
    /** Publications handed to listeners. */
    readonly publications: number;
    /** Publications that came again and were dropped. */
    readonly duplicates: number;
    /** How often the server said that publications were lost. */
    readonly gaps: number;
    /** How many those were, as far as is known. */
    readonly lost: number;
}
/**
 * What there is to ask, hear and be asked, for `connect<Contract>()`: an interface with any of these.
 *
 * `requests`: the server's handlers, and `asks`: the page's, each a function from data to reply. `rooms`: by name, which may be a template such
 * as `chat/${string}`, the data of each event. `inbox`: the data of each event for this session or user. What is left out stays untyped.
 */
export type Contract = {
    requests?: object;
    rooms?: object;
    inbox?: object;
    asks?: object;
};
type Part<Types, Name extends keyof Contract> = Name extends keyof Types ? Types[Name] : Record<never, never>;
type Names<Part> = keyof Part & string;
/** Any string where nothing is typed. */
type Untyped<Part> = keyof Part extends never ? string : never;
type Data<Call> = Call extends (data: infer Found) => unknown ? Found : never;
type Reply<Call> = Call extends (data: never) => infer Found ? Awaited<Found> : never;
type Arguments<Data, Options> = undefined extends Data ? [data?: Data, options?: Options] : [data: Data, options?: Options];
export interface SendOptions {
    /** Stop waiting. What was not sent yet never will be. */
    signal?: AbortSignal;
}
export interface RequestOptions extends SendOptions {
    /** Default: 30,000. Infinity: as long as it takes. */
    timeoutMs?: number;
}
export interface Client<Types extends Contract = Record<never, never>> {
    readonly status: Status;
    readonly stats: Stats;
    /** Join a room, or return it if it is joined already: the same object. Throws a RangeError or TypeError for options that cannot be. */
    join<Name extends Names<Part<Types, "rooms">>>(room: Name, options?: RoomOptions): Room<Part<Types, "rooms">[Name] & object>;
    join<Events extends object = Record<string, unknown>>(room: Untyped<Part<Types, "rooms">>, options?: RoomOptions): Room<Events>;
    /**
     * Run the server's handler of this event and return its reply. Kept while offline, and run once. Rejects with a RequestError, or with the
     * signal's reason. A Uint8Array arrives as such.
     */
    request<Name extends Names<Part<Types, "requests">>>(event: Name, ...rest: Arguments<Data<Part<Types, "requests">[Name]>, RequestOptions>): Promise<Reply<Part<Types, "requests">[Name]>>;
    request<Reply = unknown>(event: Untyped<Part<Types, "requests">>, data?: unknown, options?: RequestOptions): Promise<Reply>;
    /** As `request`, for a handler without reply and without a time limit: resolves when it has run. */
    send<Name extends Names<Part<Types, "requests">>>(event: Name, ...rest: Arguments<Data<Part<Types, "requests">[Name]>, SendOptions>): Promise<void>;
    send(event: Untyped<Part<Types, "requests">>, data?: unknown, options?: SendOptions): Promise<void>;
    /** Answer the server's requests of this event with what `handler` returns, or with the RequestError it throws. The last handler counts. */
    handle<Name extends Names<Part<Types, "asks">>>(event: Name, handler: (data: Data<Part<Types, "asks">[Name]>) => Reply<Part<Types, "asks">[Name]> | Promise<Reply<Part<Types, "asks">[Name]>>): this;
    handle(event: Untyped<Part<Types, "asks">>, handler: (data: unknown) => unknown): this;
    /** Call `listener` on every change of the status. */
    on(event: "status", listener: (status: Status) => void): this;
    /** Call `listener` for each publication of this event to this session or its user. `"*"` means every event. */
    on<Name extends Names<Part<Types, "inbox">>>(event: Name, listener: (data: Part<Types, "inbox">[Name], publication: Publication<Part<Types, "inbox">[Name]>) => void): this;
    on(event: Untyped<Part<Types, "inbox">> | "*", listener: (data: unknown, publication: Publication) => void): this;
    off(event: "status", listener: (status: Status) => void): this;
    off(event: string, listener: (data: never, publication: never) => void): this;
    /** Call `listener` for each room the server joins by itself, before anything of it is told. */
    onJoin(listener: (room: Room) => void): this;
    /** Call `listener` whenever publications to this session or its user were lost. */
    onGap(listener: (gap: Gap) => void): this;
    /** Use these transports only, the best first, and forget what is known about them. Nothing is lost on the way. */
    use(transports: readonly TransportName[]): void;
    /** Measure the round trip; `status.roundTripMs` tells. */
    ping(): void;
    /** Drop the transport as a broken line would. The session goes on. */
    cut(): void;
    /** End the session. */
    close(): void;
}
export interface Options {
    /** The prefix under which the transports are. Default: where this module was loaded from. */
    url?: string;
    /** Which transports may be used, the best first. Default: WebSocket, SSE, long poll. */
    transports?: readonly TransportName[];
    /** Any value for the application's connect check, or a function that returns one, asked at each attempt. */
    auth?: unknown;
}
export {};

/** Connect to the server this module was loaded from, or to `options.url`. Returns at once; `client.status` tells how it goes. */
export declare function connect<Types extends Contract = Record<never, never>>(options?: Options): Client<Types>;
