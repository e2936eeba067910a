/** Finds the services that somebody may have meant. It answers with slugs only and never with what was asked. */
import { distance } from 'fastest-levenshtein';
import type { Service } from '../contract/service.ts';

export const NEAREST_MAX = 5;
/** What is longer than any id cannot be a slip of the pen; the rest is not looked at. */
const ASKED_MAX_CHARACTERS = 64;

/** Up to five slugs, the likeliest first; none when nothing is near. */
export function suggestSlugs(asked: string, services: Iterable<Service>): string[] {
  const wanted = plain(asked.slice(0, ASKED_MAX_CHARACTERS));
  if (wanted === '') return [];
  const scored: { slug: string; score: number }[] = [];
  for (const service of services) {
    const names = [service.slug, service.name, ...(service.aliases ?? [])].map(plain);
    const score = Math.min(...names.map((name) => scoreOf(wanted, name)));
    if (score < 1) scored.push({ slug: service.slug, score });
  }
  scored.sort((a, b) => a.score - b.score || (a.slug < b.slug ? -1 : 1));
  return scored.slice(0, NEAREST_MAX).map((entry) => entry.slug);
}

/** Only letters and digits count: `google-drive`, `Google Drive` and `google_drive` are one. */
function plain(name: string): string {
  return name.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '');
}

/** 0 is the same, below 1 is near, 1 is not. Starts count before parts, and parts before slips. */
function scoreOf(wanted: string, name: string): number {
  if (wanted === name) return 0;
  if (name === '') return 1;
  if (wanted.length >= 2 && name.startsWith(wanted)) return 0.1;
  if (name.length >= 3 && wanted.startsWith(name)) return 0.15;
  if (wanted.length >= 3 && name.includes(wanted)) return 0.2;
  if (name.length >= 4 && wanted.includes(name)) return 0.25;
  const longer = Math.max(wanted.length, name.length);
  const ratio = distance(wanted, name) / longer;
  return ratio <= 0.4 ? 0.3 + ratio : 1;
}
