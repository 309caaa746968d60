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
export interface Publication<Data = unknown> {
    readonly room: string;
    readonly event: string;
    readonly data: Data;
    readonly offset: number;
    readonly position: Position;
    /** The session that published it, where a client did. */
    readonly from: string | undefined;
}
/** Publications the room's log no longer holds. `lost` is how many, null where nobody can know. */
export interface Gap {
    readonly lost: number | null;
    readonly position: Position;
}
export interface Room<Events extends object = Record<string, unknown>> {
    readonly name: string;
    /** Resolves when the room is joined for the first time; rejects with a RequestError where it is refused, or left before. */
    readonly joined: Promise<void>;
    /** The last publication seen; null before the first join. */
    readonly position: Position | null;
    /** Call `listener` for each publication of this event. `"*"` means every event. */
    on<Name extends keyof Events & string>(event: Name, listener: (data: Events[Name], publication: Publication<Events[Name]>) => void): this;
    on(event: "*", listener: (data: Events[keyof Events], publication: Publication<Events[keyof Events]>) => void): this;
    /** Stop calling `listener` for this event. */
    off(event: string, listener: (data: never, publication: never) => void): this;
    /** Call `listener` whenever publications were lost. What comes next is live again. */
    onGap(listener: (gap: Gap) => void): this;
    /** Call `listener` when the room is left by the server's will; the error says why, where the server said so. */
    onLeft(listener: (error: RequestError | null) => void): this;
    /** Publish to the room. Resolves when the server has taken it; rejects with a RequestError. */
    publish(event: string, data?: unknown): Promise<void>;
    /** Leave the room. No listener is called any more. */
    leave(): Promise<void>;
}
export interface Status {
    /**
     * `connecting`: an attempt is under way. `live`: a transport carries the session. `offline`: waiting for the next attempt. `closed`: for
     * good.
     */
    readonly state: "connecting" | "live" | "offline" | "closed";
    /** What carries the session now. */
    readonly transport: TransportName | null;
    readonly session: string | null;
    /** Attempts since a transport last proved to be lasting. */
    readonly attempt: number;
    /** The wait before the next attempt, from when this status was told. Null unless offline. */
    readonly retryInMs: number | null;
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
export interface Client {
    readonly status: Status;
    readonly stats: Stats;
    /** Join a room, or return it if it is joined already. A newcomer gets the latest `history` publications. */
    join<Events extends object = Record<string, unknown>>(room: string, options?: {
        history?: number;
    }): Room<Events>;
    /**
     * Run the server's handler of this event and return its reply. Kept while offline, and run once. Rejects with a RequestError. `timeoutMs` is
     * 30,000 unless given.
     */
    request<Reply = unknown>(event: string, data?: unknown, options?: {
        timeoutMs?: number;
    }): Promise<Reply>;
    /** As `request`, for a handler without reply and without a time limit: resolves when it has run. */
    send(event: string, data?: unknown): Promise<void>;
    on(event: "status", listener: (status: Status) => void): this;
    off(event: "status", listener: (status: Status) => void): this;
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

/** Connect to the server this module was loaded from, or to `options.url`. Returns at once; `client.status` tells how it goes. */
export declare function connect(options?: Options): Client;
