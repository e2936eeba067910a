/** Where the values of a credential may be sent. It is encrypted with the credential when its secrets are stored. */

export interface Destination {
  /** The mode of the definition that the values chose when they were bound; absent: none of its modes. */
  readonly mode?: string | undefined;
  /** RFC 6454 origins, sorted, such as `https://api.github.com`. A service that signs its requests may have `https://*.example.com`. */
  readonly origins: readonly string[];
  /** The values of the fields that decide where requests go, by field id. They are not secret. */
  readonly fields: Readonly<Record<string, string>>;
  /** SHA-256, in base64url, of what decides how values are sent. Only for custom definitions: built-in ones are trusted like the program. */
  readonly definition?: string | undefined;
}
