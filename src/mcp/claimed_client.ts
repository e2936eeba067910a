/**
 * The name and version that an MCP client claims, as one short line for the audit log. The client controls this text: it is
 * never compared with anything, and has no characters that could change how a line is displayed.
 */
const NAME_MAX_CHARACTERS = 64;
const VERSION_MAX_CHARACTERS = 32;
/** Before invisible characters are removed. */
const READ_MAX_CHARACTERS = 1_024;

/** Returns undefined if the client claims no name. `info`: an `Implementation` of the protocol, not validated. */
export function formatClientInfo(info: unknown): string | undefined {
  const { name, version } = Object(info);
  const printable_name = toPrintable(name, NAME_MAX_CHARACTERS);
  if (printable_name === '') return undefined;
  return `${printable_name} ${toPrintable(version, VERSION_MAX_CHARACTERS)}`.trim();
}

/** Without control, format and unassigned characters; each run of white space is one blank. */
function toPrintable(text: unknown, max: number): string {
  if (typeof text !== 'string') return '';
  const visible = text
    .slice(0, READ_MAX_CHARACTERS)
    .replace(/[\p{Z}\t\r\n]+/gu, ' ')
    .replace(/\p{C}/gu, '');
  // By code points, so that no surrogate pair is split.
  return Array.from(visible.trim()).slice(0, max).join('').trim();
}
