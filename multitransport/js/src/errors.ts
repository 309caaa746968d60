/**
 * Why a request, a send, a publish or a join was not carried out.
 *
 * `code` is an error code of the protocol, one of the application's own, or what the client itself found: `timed_out`, `queue_full`,
 * `too_large`, `left`, `closed`, `outcome_unknown`.
 */
export class RequestError extends Error {
  override readonly name = "RequestError";

  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}
