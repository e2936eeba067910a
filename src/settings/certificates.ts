/** Reads the certificates of authorities from the PEM file that a setting names. */
import { X509Certificate } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { VaultError } from '../contract/errors.ts';

const FILE_MAX_BYTES = 1024 * 1024;
const CERTIFICATE_PATTERN = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g;

/** `source` names the setting in messages. Throws INVALID_INPUT for a file that cannot be read or has no certificate. */
export function readCertificates(source: string, path: string): readonly string[] {
  const certificates = readPemFile(source, path).match(CERTIFICATE_PATTERN) ?? [];
  if (certificates.length === 0) throw fileError(source, 'has no certificate in PEM. Check its content.');
  for (const certificate of certificates) {
    try {
      new X509Certificate(certificate);
    } catch (cause) {
      throw fileError(source, 'has a damaged certificate. Replace the file.', cause);
    }
  }
  return certificates;
}

function readPemFile(source: string, path: string): string {
  let size: number;
  try {
    size = statSync(path).size;
    if (size <= FILE_MAX_BYTES) return readFileSync(path, 'latin1');
  } catch (cause) {
    throw fileError(source, 'cannot be read. Check the path and its permissions.', cause);
  }
  throw fileError(source, 'is larger than 1 MiB. Keep only the certificates of your own authorities in it.');
}

function fileError(source: string, problem: string, cause?: unknown): VaultError {
  const message = `The file that ${source} names ${problem}`;
  return new VaultError('INVALID_INPUT', message, { reason: 'setting_invalid', cause });
}
