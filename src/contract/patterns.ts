/** Patterns that several layers validate with. */

/** RFC 9562, section 4, of any version. */
export const UUID_PATTERN: RegExp = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
/** `kh_`, the 32 hexadecimal digits of a UUID, `_`, and 32 random bytes in base64url. */
export const API_KEY_PATTERN: RegExp = /^kh_([0-9a-f]{32})_([A-Za-z0-9_-]{43})$/;
/** Control characters, line separators, direction marks and zero-width characters. None may reach a terminal. */
export const UNPRINTABLE_CHARACTERS_PATTERN: RegExp =
  /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/gu;
