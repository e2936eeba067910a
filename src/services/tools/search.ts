/** Searches the tools of services for the words of a query. */
import type { Service } from '../../contract/service/service.ts';
import { tokenize } from '../search.ts';
import { type ServiceTool, toolsOf } from './tools.ts';

const NAME_SCORE = 4;
const SERVICE_SCORE = 3;
const DESCRIPTION_SCORE = 1;

/** The tools in which most words of the query begin a word, the best match first; all tools for a query without words. */
export function searchTools(
  services: readonly Service[],
  query: string,
): { readonly service: Service; readonly tool: ServiceTool }[] {
  const words = [...new Set(tokenize(query))];
  const tools = services.flatMap((service) => toolsOf(service).map((tool) => ({ service, tool })));
  if (words.length === 0) return tools;
  return tools
    .map((found) => ({ found, score: scoreOf(found.service, found.tool, words) }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score)
    .map(({ found }) => found);
}

function scoreOf({ slug, name, aliases = [] }: Service, tool: ServiceTool, words: readonly string[]): number {
  const texts: readonly (readonly [score: number, text: string])[] = [
    [NAME_SCORE, `${tool.name} ${tool.title}`],
    [SERVICE_SCORE, [slug, name, ...aliases].join(' ')],
    [DESCRIPTION_SCORE, tool.description],
  ];
  return words.reduce((total, word) => {
    const matching = texts.find(([, text]) => tokenize(text).some((one) => one.startsWith(word)));
    return total + (matching?.[0] ?? 0);
  }, 0);
}
