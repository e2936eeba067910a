/** Patterns that several layers validate with. */

/** RFC 9562, section 4, of any version. */
export const UUID_PATTERN: RegExp = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
/** `kh_`, the 32 hexadecimal digits of a UUID, `_`, and 32 random bytes in base64url. */
export const API_KEY_PATTERN: RegExp = /^kh_([0-9a-f]{32})_([A-Za-z0-9_-]{43})$/;
/** Control characters, and the marks that change the direction of text. Neither may reach a terminal. */
export const UNPRINTABLE_CHARACTERS_PATTERN: RegExp = /[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu;
