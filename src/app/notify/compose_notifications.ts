/** The notifications of a process. Their parts are loaded if a setting has a channel. */
import type { NotifyPerson } from '../../contract/approval.ts';
import type { Logger } from '../../contract/logger.ts';
import type { Egress } from '../../egress/egress.ts';
import type { Notifier } from './notifier.ts';

interface NotificationParts {
  readonly env: NodeJS.ProcessEnv;
  readonly now: () => Date;
  readonly home: () => string;
  /** The address of the webhook is the operator's choice. */
  readonly operatorEgress: () => Promise<Egress>;
  readonly log: () => Promise<Logger>;
}

export interface Notifications {
  /** `undefined`: all are off. Rejects with INVALID_INPUT for an invalid setting. */
  open(): Promise<NotifyPerson | undefined>;
  close(): Promise<void>;
}

export function composeNotifications({
  env,
  now,
  home,
  operatorEgress,
  log,
}: NotificationParts): Notifications {
  const load = async () => {
    const [{ parseNotifySettings }, { Notifier }, { webhookChannel }, { desktopChannel }, { readServerUrl }] =
      await Promise.all([
        import('../../settings/notify.ts'),
        import('./notifier.ts'),
        import('./webhook.ts'),
        import('./desktop.ts'),
        import('../../io/server_file.ts'),
      ]);
    const { webhook, desktop } = parseNotifySettings(env, home());
    const channels = {
      ...(webhook === undefined ? {} : { webhook: webhookChannel(webhook, operatorEgress, now) }),
      ...(desktop ? { desktop: desktopChannel(env) } : {}),
    };
    return new Notifier({
      channels,
      baseUrl: () => readServerUrl(home())?.replace(/\/+$/, ''),
      log: await log(),
    });
  };
  let opened: Promise<Notifier> | undefined;
  return {
    async open() {
      if (!Object.keys(env).some((name) => name.startsWith('KEYHOLD_NOTIFY_'))) return undefined;
      opened ??= load();
      const notifier = await opened;
      return (waiting) => notifier.notify(waiting);
    },
    // One that could not be opened has been reported.
    close: async () => (await opened?.catch(() => undefined))?.close(),
  };
}
