/** Patterns that several layers validate with. */

/** RFC 9562, section 4, of any version. */
export const UUID_PATTERN: RegExp = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
/** `kh_`, the 32 hexadecimal digits of a UUID, `_`, and 32 random bytes in base64url. */
export const API_KEY_PATTERN: RegExp = /^kh_([0-9a-f]{32})_([A-Za-z0-9_-]{43})$/;
/**
 * A control, separator or invisible character: zero-width characters, direction marks, fillers, tag characters, variation
 * selectors. They hide or reorder text, control a terminal, or carry a text that only a model reads. Three uses are part of
 * emoji and of scripts such as Persian: a joiner between visible characters outside of ASCII, one variation selector after
 * such a character, and the selector of a keycap (Unicode Technical Standard 51, section 1.4.6).
 */
export const UNPRINTABLE_CHARACTER_PATTERN: RegExp =
  /(?!(?<=[^\0-\x7f\p{Cf}\p{Default_Ignorable_Code_Point}])[\ufe0e\ufe0f]|(?<=[0-9#*])\ufe0f\u20e3|(?<=[^\0-\x7f\p{Cf}\p{Default_Ignorable_Code_Point}][\ufe0e\ufe0f]?)[\u200c\u200d][^\0-\x7f\p{Cf}\p{Default_Ignorable_Code_Point}])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u;
/** The same, for `replace`. */
export const UNPRINTABLE_CHARACTERS_PATTERN: RegExp = new RegExp(UNPRINTABLE_CHARACTER_PATTERN, 'gu');

/** A handle: 128 random bits in base64url. */
export const HANDLE_PATTERN: RegExp = /^[A-Za-z0-9_-]{22}$/;
