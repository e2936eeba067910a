/** Sends the requests of a key source in tests as the program does. */
import { onTestFinished } from 'vitest';
import { AllowList } from '../../../src/egress/allow_list.ts';
import { requestDocument } from '../../../src/egress/documents.ts';
import { Egress, type EgressOptions } from '../../../src/egress/egress.ts';
import type { SendRequest } from '../../../src/vault/keys/key_service.ts';

/** Ends with the test. */
export function newSendRequest(options: Partial<EgressOptions> = {}): SendRequest {
  const egress = new Egress({ allow: AllowList.all(), ...options });
  onTestFinished(() => egress.close());
  return (url, request, limits) => requestDocument(egress, url, request, limits);
}
