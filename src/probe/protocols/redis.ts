/** Tests a login over the protocol redis. */
import type { Probe } from '../probe.ts';

export const probeRedis: Probe = async () => ({ reason: 'not_testable', checked: [] });
