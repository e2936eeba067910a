/** A custom definition as a person decides on it: where secrets go, and the changes. */
import type { Service } from '../../../contract/service/service.ts';
import { compareDefinitions, describeDefinition } from '../../../services/custom/summary.ts';

const LABEL_WIDTH = 11;

export function drawDefinition(service: Service): string[] {
  return describeDefinition(service).flatMap(({ label, lines }) =>
    lines.map((line, at) => `  ${(at === 0 ? label : '').padEnd(LABEL_WIDTH)} ${line}`),
  );
}

/** Lines that begin with "-" for removed parts, and with "+" for added ones. */
export function drawDifferences(before: Service, after: Service): string[] {
  return compareDefinitions(before, after).flatMap(({ label, removed, added }) => [
    ...removed.map((line) => `- ${label.padEnd(LABEL_WIDTH)} ${line}`),
    ...added.map((line) => `+ ${label.padEnd(LABEL_WIDTH)} ${line}`),
  ]);
}
