/** The content of a sealed value, format 2: who may store it, where, until when, and the value. */
import * as z from 'zod';
import { OrganizationName } from './caller.ts';
import { ServiceId } from './credential.ts';
import { FIELD_ID_MAX_CHARACTERS, NAME_MAX_CHARACTERS } from './limits.ts';
import { Timestamp } from './timestamp.ts';

/** 16 bytes in base64url without padding. The last character of the canonical text encodes two bits. */
const NONCE_PATTERN = /^[A-Za-z0-9_-]{21}[AQgw]$/;

/** What a sealed value is bound to. */
export const SealedFor = z.strictObject({
  organization: OrganizationName,
  /** The user whose credential it is. */
  user: z.string().min(1).max(NAME_MAX_CHARACTERS),
  /** Any id of the service. */
  service: ServiceId,
  /** The id of the field. */
  field: z.string().min(1).max(FIELD_ID_MAX_CHARACTERS),
});
export type SealedFor = z.infer<typeof SealedFor>;

export const SealedContent = z.strictObject({
  v: z.literal(2),
  ...SealedFor.shape,
  expires_at: Timestamp,
  nonce: z.string().regex(NONCE_PATTERN),
  value: z.string(),
});
export type SealedContent = z.infer<typeof SealedContent>;

/** What a program needs to seal values for itself: the public key of its organization, and who it is. */
export interface SealingKey {
  /** 32 bytes in base64. */
  readonly public_key: string;
  readonly organization: string;
  readonly user: string;
}
