/** Notifications on the desktop of this machine with `notify-send`. Texts are arguments, never options, markup or shell. */
import { spawn } from 'node:child_process';
import type { DeliverNotification } from './notifier.ts';

const TIME_MAX_MS = 5_000;
const SUMMARY_MAX_CHARACTERS = 200;
/** The program finds the session of the desktop with them. No secret of Keyhold is among them. */
const VARIABLES = [
  'PATH',
  'HOME',
  'DISPLAY',
  'WAYLAND_DISPLAY',
  'XDG_RUNTIME_DIR',
  'DBUS_SESSION_BUS_ADDRESS',
  'LANG',
];

/** Rejects if the program is missing, takes too long or exits with another code than 0. */
export function desktopChannel(env: NodeJS.ProcessEnv): DeliverNotification {
  const variables = Object.fromEntries(VARIABLES.map((name) => [name, env[name]]));
  return ({ summary, code, url }, signal) => {
    const lines = [
      shortened(summary),
      ...(code === null ? [] : [`Code: ${code}`]),
      ...(url === null ? [] : [url]),
    ];
    // After `--` no argument is an option.
    const args = [
      '--app-name=Keyhold',
      '--',
      'Keyhold: a request waits for you',
      lines.map(escaped).join('\n'),
    ];
    return new Promise((resolve, reject) => {
      const options = { env: variables, signal, timeout: TIME_MAX_MS, killSignal: 'SIGKILL' as const };
      const child = spawn('notify-send', args, { ...options, stdio: 'ignore' });
      child.once('error', reject);
      child.once('exit', (exit_code) =>
        exit_code === 0 ? resolve() : reject(new Error('notify-send failed')),
      );
    });
  };
}

function shortened(text: string): string {
  return text.length <= SUMMARY_MAX_CHARACTERS ? text : `${text.slice(0, SUMMARY_MAX_CHARACTERS)}...`;
}

/** Desktops read the text as markup: https://specifications.freedesktop.org/notification-spec/latest/markup.html */
function escaped(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, ' ')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;');
}
