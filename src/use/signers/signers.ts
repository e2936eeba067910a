/** The signers by the names that definitions use. */
import type { SIGNERS } from '../../contract/service/authentication.ts';
import { aws_sigv4 } from './aws_sigv4.ts';
import { azure_shared_key } from './azure_shared_key.ts';
import { jwt } from './jwt.ts';
import type { Signer } from './signer.ts';

export const SIGNER_BY_NAME: Readonly<Record<(typeof SIGNERS)[number], Signer>> = {
  aws_sigv4,
  azure_shared_key,
  jwt,
};
