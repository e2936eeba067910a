/** The limits of input, requests and connections, with their units. Past a limit nothing changes. */

export const VALUE_MAX_BYTES = 64 * 1024;
export const FIELDS_PER_CREDENTIAL_MAX = 64;
export const NAME_MAX_CHARACTERS = 255;
export const ID_MAX_CHARACTERS = 128;
export const QUERY_MAX_CHARACTERS = 255;
export const LIST_PAGE_MAX = 100;
/** Credentials in a list that models do not read and whose clients do not support pages. */
export const WHOLE_LIST_MAX = 1_000;
export const REQUEST_BODY_MAX_BYTES = 1024 * 1024;
/** One line over stdio: room for a credential with every field at its limit, sealed without escapes. */
export const STDIO_MESSAGE_MAX_BYTES = 8 * 1024 * 1024;
export const FIELD_ID_MAX_CHARACTERS = 64;
/**
 * JSON escapes of quotes, backslashes and line ends double a value at most; names and padding take up to 4 KiB; a box
 * adds 48 bytes, base64 a third, the prefix 9 characters.
 */
export const SEALED_VALUE_MAX_CHARACTERS = 9 + Math.ceil((2 * VALUE_MAX_BYTES + 4096 + 48) / 3) * 4;
/** How long a sealed value can be used, unless its maker chooses another time. */
export const SEALED_VALUE_AGE_MS = 24 * 60 * 60_000;
/** The longest time that can be chosen: used values are remembered until then. */
export const SEALED_VALUE_MAX_AGE_MS = 30 * 24 * 60 * 60_000;
export const SERVICES_MAX = 2_000;
export const SERVICE_FILE_MAX_BYTES = 256 * 1024;
/** How long a write waits for another process that writes to the same vault. */
export const STORE_BUSY_TIMEOUT_MS = 15_000;
/** How long reads and writes wait for a database whose primary failed. */
export const STORE_OUTAGE_TIMEOUT_MS = 30_000;
/** Queued writes in this process; further ones are rejected at once. */
export const PENDING_COMMITS_MAX = 10_000;
/** Writes in one transaction, so that no caller waits for an endless one. */
export const COMMITS_PER_TRANSACTION_MAX = 256;
/** Nesting of objects and arrays in a request body. */
export const JSON_DEPTH_MAX = 64;
/** Names and elements of a JSON text together: more would block the event loop. */
export const JSON_PARTS_MAX = 20_000;
/** Default of KEYHOLD_RATE_LIMIT: requests per minute with one API key. */
export const REQUESTS_PER_MINUTE = 60;
/**
 * Multiples of the requests per minute with one key: for all keys of a user, for all of an organization, for searches
 * and verifications of the audit log of an organization, which take time with its length, and for invocations of tools
 * with one key over ToolRouter's routes, which document 20 a minute.
 */
export const RATE_LIMIT_SHARES = { user: 5, organization: 50, audit_reads: 0.5, invocations: 1 / 3 };
/** Keys, users, organizations or addresses that are counted at a time; a further one replaces the oldest. */
export const RATE_LIMIT_KEYS_MAX = 10_000;
/** Default of KEYHOLD_AUTH_FAILURE_LIMIT: wrong or missing keys per minute from one address. */
export const AUTH_FAILURES_PER_MINUTE = 10;
/** How often further equal denials, and failed authentications, are added to the audit log, as a number. */
export const DENIALS_LOGGED_EVERY_MS = 60_000;
/** Groups of equal denials that are counted at a time; past it, the groups of the caller with the oldest one end. */
export const DENIAL_GROUPS_MAX = 10_000;
/** Entries that one request for a page of the audit log reads, whatever its filter. */
export const AUDIT_ENTRIES_READ_MAX = 5_000;
/** Days of a count of uses: the default, and the most. */
export const USE_COUNT_DAYS = 30;
export const USE_COUNT_DAYS_MAX = 90;
/** Credentials that one request for a list reads, whatever its filter. */
export const CREDENTIALS_READ_MAX = 10_000;
/** Credentials of one stack that are read to find the services in it. */
export const STACK_CREDENTIALS_READ_MAX = 1_000;
export const USERS_LISTED_MAX = 1_000;
/** Users and units that one stack is shared with. */
export const SHARES_PER_STACK_MAX = 100;
/** Stacks that are shared with one user, or with one unit. */
export const STACKS_SHARED_WITH_ONE_MAX = 1_000;
export const KEYS_PER_USER_MAX = 50;
export const CREDENTIALS_PER_USER_MAX = 10_000;
/** Encrypted and padded values of all credentials of one user. */
export const CREDENTIAL_BYTES_PER_USER_MAX = 256 * 1024 * 1024;

/** Of the path of a use in the audit log; the rest is cut. */
export const AUDITED_PATH_MAX_CHARACTERS = 2_000;
/** Of the reason that a caller states for a use. */
export const USE_REASON_MAX_CHARACTERS = 500;
/** How long a person can approve a request, and the caller can send it then. */
export const USE_APPROVAL_AGE_MS = 60 * 60_000;
/** Requests of a user that wait for approval. */
export const USE_APPROVALS_PER_USER_MAX = 100;
/** The longest time that a person can grant uses for, also for a session. */
export const USE_GRANT_MAX_MS = 8 * 60 * 60_000;
/** Uses of one grant; further ones need a new approval. */
export const USE_GRANT_USES_MAX = 1_000;
export const USE_GRANTS_PER_USER_MAX = 100;
/** How long an access request waits for a person, and the values after it was accepted. */
export const ACCESS_REQUEST_AGE_MS = 24 * 60 * 60_000;
export const ACCESS_REQUESTS_PER_USER_MAX = 10;
export const ACCESS_REASON_MAX_CHARACTERS = 500;
export const ACCESS_URL_MAX_CHARACTERS = 300;
/** A bearer token, or a user name and a password. */
export const ACCESS_FIELDS_MAX = 2;
/** Of a request that waits for approval; the rest is cut. */
export const USE_SUMMARY_SHOWN_MAX_CHARACTERS = 1_000;
export const USE_BODY_SHOWN_MAX_CHARACTERS = 2_048;
/** Of the value of each header of such a request. All names are shown. */
export const USE_HEADER_SHOWN_MAX_CHARACTERS = 200;
/** Of the body of a call; leaves room for its length and type. */
export const BODY_SHOWN_MAX_BYTES = 1_800;
/** How long values for a protected credential wait for a person; they are deleted after it. */
export const PENDING_VALUES_AGE_MS = 7 * 24 * 60 * 60_000;
/** Credentials with values that wait, of one user and of an organization. */
export const PENDING_VALUES_PER_USER_MAX = 50;
export const PENDING_VALUES_PER_ORGANIZATION_MAX = 200;
/** Encrypted and padded values of an organization that wait. */
export const PENDING_VALUES_BYTES_MAX = 64 * 1024 * 1024;
/** How long a person has to enter values with a handle. */
export const HANDLE_AGE_MS = 10 * 60_000;
/** How long after its end a handle still has a state that its caller can read. */
export const HANDLE_KEPT_MS = 60 * 60_000;
/** Handles of a user that wait for a person. */
export const HANDLES_PENDING_PER_USER_MAX = 20;
/** How long a person has to permit access at a provider. */
export const CONNECTION_AGE_MS = 10 * 60_000;
/** How long after its end a connection is known, so that its callback gets the reason. */
export const CONNECTION_KEPT_MS = 60 * 60_000;
/** Connections of a user that wait for a person, with an authorization code and, in each process, with a device code. */
export const CONNECTIONS_PENDING_PER_USER_MAX = 20;
/** The longest time that this process polls for the decision of a person about a device code. */
export const DEVICE_CODE_AGE_MAX_MS = 30 * 60_000;
/** Credentials and API keys whose uses are counted at a time; a further one replaces the oldest. */
export const USE_LIMIT_KEYS_MAX = 10_000;
/** How long the outcome of a use waits for others that are logged in the same transaction. */
export const USE_OUTCOME_DELAY_MS = 1_000;
/** Outcomes of uses that wait to be logged; of further ones only the number is logged. */
export const USE_OUTCOMES_PENDING_MAX = 10_000;

/** What a user may have. A single write must be far smaller: usage is counted exactly only near a limit. */
export interface QuotaLimits {
  readonly credentials: number;
  readonly bytes: number;
}
export const DEFAULT_QUOTA: QuotaLimits = {
  credentials: CREDENTIALS_PER_USER_MAX,
  bytes: CREDENTIAL_BYTES_PER_USER_MAX,
};

/** Default of KEYHOLD_OAUTH_LIFETIME: how long an access token may be valid. */
export const TOKEN_LIFETIME_MAX_SECONDS = 24 * 60 * 60;
/** Clients, and mapped users, in the settings of an issuer. */
export const TOKEN_SETTING_ENTRIES_MAX = 1_000;
/** Open connections; a further one evicts the one that has kept the server waiting longest. */
export const CONNECTIONS_MAX = 2_000;
export const REQUEST_HEADERS_MAX_BYTES = 16 * 1024;
/** From the connection, or the previous response, to the end of the headers. */
export const REQUEST_HEADERS_TIMEOUT_MS = 10_000;
/** To the end of the body. */
export const REQUEST_TIMEOUT_MS = 30_000;
/**
 * An idle connection is kept for longer than a load balancer keeps it (60 seconds), so that the balancer never sends a
 * request on a connection that is being closed. At CONNECTIONS_MAX, idle connections are closed first.
 */
export const KEEP_ALIVE_TIMEOUT_MS = 75_000;
/** For a response that the client does not read. */
export const UNREAD_RESPONSE_TIMEOUT_MS = 30_000;
/** NIST SP 800-63B: the least for a secret that a person chooses. Only for a new vault. */
export const PASSPHRASE_MIN_CHARACTERS = 8;
/** How long requests to a key service (KMS) that cannot be reached are repeated. */
export const KEY_SERVICE_RETRY_MS = 30_000;
/** For one request to a key service. */
export const KEY_SERVICE_TIMEOUT_MS = 10_000;
export const KEY_SERVICE_RESPONSE_MAX_BYTES = 64 * 1024;
/** For one operation of a keychain, which may prompt its user. */
export const KEYCHAIN_TIMEOUT_MS = 120_000;
/** Log lines that wait for a reader of stderr; further ones are dropped. */
export const LOG_PENDING_MAX_BYTES = 256 * 1024;
/** How long a process that has stopped waits for readers of its output. */
export const SHUTDOWN_FLUSH_TIMEOUT_MS = 1_000;
/** How long requests in flight may take when the server stops. */
export const SHUTDOWN_TIMEOUT_MS = 10_000;
/** Of the addresses of a host that a request may go to. */
export const EGRESS_RESOLVE_TIMEOUT_MS = 5_000;
export const EGRESS_CONNECT_TIMEOUT_MS = 10_000;
/** From the end of a request to the end of the response's headers. */
export const EGRESS_HEADERS_TIMEOUT_MS = 60_000;
/** Between two parts of a response's body. */
export const EGRESS_IDLE_TIMEOUT_MS = 60_000;
/** For a request with its whole response. */
export const EGRESS_TOTAL_TIMEOUT_MS = 300_000;
export const EGRESS_RESPONSE_HEADERS_MAX_BYTES = 64 * 1024;
/** Connections to one host; further requests wait. */
export const EGRESS_CONNECTIONS_PER_HOST_MAX = 64;
/** Requests to one host that run or wait; further ones are refused. */
export const EGRESS_REQUESTS_PER_HOST_MAX = 512;
/** Requests and connections of one principal, to all hosts, and of all principals. */
export const EGRESS_REQUESTS_PER_PRINCIPAL_MAX = 512;
export const EGRESS_REQUESTS_MAX = 2_048;
/** Different host names that are resolved at the same time. Each may take a thread of Node.js for seconds. */
export const EGRESS_RESOLUTIONS_PER_PRINCIPAL_MAX = 10;
export const EGRESS_RESOLUTIONS_MAX = 64;
/** How long a connection may stay open between two requests, if the service permits as much. */
export const EGRESS_KEEP_ALIVE_MAX_MS = 30_000;
/** Hosts with open connections; the one used longest ago is closed for a further one. */
export const EGRESS_HOSTS_MAX = 200;
/** How long `keyhold run` waits for further output after a signal ended the command. */
export const RUN_OUTPUT_GRACE_MS = 1_000;
/** Services in one `keyhold run`. */
export const RUN_SERVICES_MAX = 100;
/** The content of a response to a call, decoded. */
export const CALL_RESPONSE_MAX_BYTES = 10 * 1024 * 1024;
/** Decoded bytes for each encoded one, of the content of a response. */
export const CALL_DECODE_RATIO_MAX = 100;
export const CALL_PATH_MAX_CHARACTERS = 8_000;
export const CALL_HEADERS_MAX = 50;
export const CALL_HEADER_MAX_CHARACTERS = 4_000;
export const CALL_QUERY_MAX = 100;
export const CALL_SELECT_MAX_CHARACTERS = 1_000;
/** JSON that an expression is evaluated on, and its result. */
export const CALL_SELECT_MAX_BYTES = 5 * 1024 * 1024;
export const CALL_SELECT_TIME_MS = 250;
/** Characters of a body that one result shows. */
export const CALL_CHARACTERS = 40_000;
export const CALL_CHARACTERS_MIN = 100;
export const CALL_CHARACTERS_MAX = 200_000;
/** A larger image is described, not shown. */
export const CALL_IMAGE_MAX_BYTES = 1024 * 1024;
/** Of a response that is streamed and not kept. */
export const CALL_STREAM_MAX_BYTES = 1024 * 1024 * 1024;
/** How long a response is kept, redacted, so that its next part needs no second request. */
export const STORED_RESPONSE_AGE_MS = 10 * 60_000;
/** Of all stored responses together; a further one replaces the oldest. */
export const STORED_RESPONSES_MAX_BYTES = 64 * 1024 * 1024;
export const STORED_RESPONSES_PER_CALLER_MAX = 20;
/** Of a response that other servers of the vault can show too. */
export const KEPT_RESPONSE_MAX_BYTES = 1024 * 1024;
/** Of an organization; past a limit the older half of them is deleted. */
export const KEPT_RESPONSES_MAX = 2_000;
export const KEPT_RESPONSES_MAX_BYTES = 64 * 1024 * 1024;
/** How long a call with the same idempotency key gets the stored response. */
export const IDEMPOTENCY_AGE_MS = 5 * 60_000;
/** Of one connection of a test, with all that it does. */
export const TEST_TIMEOUT_MS = 15_000;
/** Of the part of a test until the login to an SSH server. */
export const SSH_LOGIN_TIMEOUT_MS = 10_000;
/** Of the decoded response to a test over HTTP. */
export const TEST_RESPONSE_MAX_BYTES = 1024 * 1024;
/** From the server of a test, except over HTTP. */
export const TEST_RECEIVED_MAX_BYTES = 4 * 1024 * 1024;
/** Of given values that name their own server, for each user. */
export const GIVEN_TESTS_PER_MINUTE_MAX = 10;
/** When such a test that has reached no server of its kind ends: always after this time. */
export const GIVEN_TEST_DELAY_MS = 5_000;
/** A credential that expires within this time is reported. */
export const EXPIRY_NOTICE_MS = 14 * 24 * 3_600_000;
/** Of stored credentials, for each user. */
export const TESTS_PER_MINUTE_MAX = 120;
/** How long a person stays signed in to the pages. */
export const WEB_SESSION_AGE_MS = 12 * 60 * 60_000;
/** How long the file that `keyhold open` makes signs a person in. */
export const SIGN_IN_TICKET_AGE_MS = 60_000;
/** How long a sign-in with an identity provider waits for its callback. */
export const SIGN_IN_ATTEMPT_AGE_MS = 10 * 60_000;
/** Of one request to the identity provider. */
export const IDENTITY_PROVIDER_TIMEOUT_MS = 10_000;
/** A further sign-in of the user ends the oldest session. */
export const WEB_SESSIONS_PER_USER_MAX = 20;
/** Of a message that the next page shows. */
export const FLASH_MESSAGE_MAX_CHARACTERS = 500;
/** An access token that ends within this time is refreshed before a use. */
export const TOKEN_REFRESH_BEFORE_MS = 60_000;
/** How long a use waits for the refresh of an access token that can still be used. */
export const TOKEN_REFRESH_PATIENCE_MS = 3_000;
/** Of the revocations of tokens after one deletion. */
export const TOKEN_REVOCATION_MAX_MS = 5_000;
/** Of one request to a token endpoint. */
export const TOKEN_REQUEST_TIMEOUT_MS = 15_000;
/** Of the response of a token endpoint, decoded. */
export const TOKEN_RESPONSE_MAX_BYTES = 256 * 1024;
/** How long one process has the right to refresh a credential: longer than a request for tokens takes. */
export const TOKEN_LEASE_MS = 30_000;
/** Between two requests for tokens after one that failed, doubled with each failure. */
export const TOKEN_RETRY_MIN_MS = 5_000;
export const TOKEN_RETRY_MAX_MS = 10 * 60_000;
/** How long a process that stops exports the rest of its telemetry. */
export const TELEMETRY_SHUTDOWN_MAX_MS = 2_000;
