/** Tests a login over the protocol postgresql. */
import type { Probe } from '../probe.ts';

export const probePostgresql: Probe = async () => ({ reason: 'not_testable', checked: [] });
