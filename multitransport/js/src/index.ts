import type { Client, Contract, Options } from "./api";
import { PageClient } from "./client";

export type * from "./api";
export { CLOSE } from "./codes";
export { RequestError } from "./errors";

/** Connect to the server this module was loaded from, or to `options.url`. Returns at once; `client.status` tells how it goes. */
export function connect<Types extends Contract = Record<never, never>>(options: Options = {}): Client<Types> {
  const base = new URL(options.url ?? ".", options.url === undefined ? import.meta.url : location.href).href;
  return new PageClient(base.replace(/\/?$/, "/"), options) as unknown as Client<Types>;
}
