/** Headers of responses that stream the body of a service. Without zod, since the client has them. */

/** The status of the service. */
export const CALL_STATUS_HEADER = 'Keyhold-Status';
/** Its headers and the hint, as percent-encoded JSON. */
export const CALL_HEADERS_HEADER = 'Keyhold-Headers';
