/** Every limit of Keyhold, in one place, with its unit in its name. Past one: INVALID_INPUT, and nothing changes. */

export const VALUE_MAX_BYTES = 64 * 1024;
export const FIELDS_PER_CREDENTIAL_MAX = 64;
export const NAME_MAX_CHARACTERS = 255;
export const ID_MAX_CHARACTERS = 128;
export const QUERY_MAX_CHARACTERS = 255;
export const LIST_PAGE_MAX = 100;
/** Of credentials, where a list is not read by models and its clients know no pages. */
export const WHOLE_LIST_MAX = 1_000;
export const REQUEST_BODY_MAX_BYTES = 1024 * 1024;
/** One line over stdio: room for a credential with every field at its limit, sealed. */
export const STDIO_MESSAGE_MAX_BYTES = 8 * 1024 * 1024;
/** A sealed box adds 48 bytes to a value; base64 adds a third; the prefix is 7 characters. */
export const SEALED_VALUE_MAX_CHARACTERS = 7 + Math.ceil((VALUE_MAX_BYTES + 48) / 3) * 4;
export const SERVICES_MAX = 2_000;
export const SERVICE_FILE_MAX_BYTES = 256 * 1024;
/** Waits for another process that is writing to the same vault. */
export const STORE_BUSY_TIMEOUT_MS = 15_000;
/** Writes that wait in this process for their turn; more are refused at once rather than remembered. */
export const PENDING_COMMITS_MAX = 10_000;
/** Writes that share one transaction at most, so that no caller waits behind an endless one. */
export const COMMITS_PER_TRANSACTION_MAX = 256;
/** Objects and arrays in one another, in the body of a request. */
export const JSON_DEPTH_MAX = 64;
/** Names and elements of a JSON text together: a body of nothing else would hold everybody up. */
export const JSON_PARTS_MAX = 20_000;
/** Requests a minute with one API key, unless KEYHOLD_RATE_LIMIT says otherwise. */
export const REQUESTS_PER_MINUTE = 60;
/** Wrong or missing keys a minute from one address, unless KEYHOLD_AUTH_FAILURE_LIMIT says otherwise. */
export const AUTH_FAILURES_PER_MINUTE = 10;
/** Connections at once; past it, the one that has been idle the longest makes room. */
export const CONNECTIONS_MAX = 2_000;
export const REQUEST_HEADERS_MAX_BYTES = 16 * 1024;
/** From the connection, or the answer before, to the end of the headers. */
export const REQUEST_HEADERS_TIMEOUT_MS = 10_000;
/** To the end of the body. */
export const REQUEST_TIMEOUT_MS = 30_000;
export const KEEP_ALIVE_TIMEOUT_MS = 30_000;
/** For an answer of which the client takes nothing. */
export const UNREAD_ANSWER_TIMEOUT_MS = 30_000;
/** Requests in flight get this long to finish when the server is told to stop. */
export const SHUTDOWN_TIMEOUT_MS = 10_000;
