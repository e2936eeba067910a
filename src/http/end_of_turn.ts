/**
 * Lets answers that are ready in one turn of the event loop go out one right after the other. Written each as soon as it
 * is ready, every one of them would wake its reader, which has then read it long before the next is there: under load
 * that costs both sides a good part of their time.
 */

let end: Promise<void> | undefined;

/** Resolves when all that has arrived by now was looked at; at once where nothing else has. */
export function endOfTurn(): Promise<void> {
  end ??= new Promise((resolve) => {
    setImmediate(() => {
      end = undefined;
      resolve();
    });
  });
  return end;
}
