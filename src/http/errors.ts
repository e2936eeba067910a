/** What the frame itself refuses, with the HTTP status that the table of errors has no word for. */
import { type ErrorCode, VaultError } from '../contract/errors.ts';

export class HttpError extends VaultError {
  readonly http_status: number;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    http_status: number,
    code: ErrorCode,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(code, message);
    this.http_status = http_status;
    this.headers = headers;
  }
}
