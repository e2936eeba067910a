/** Searches the tools of services for the words of a query. */
import type { Service } from '../../contract/service/service.ts';
import { tokenize } from '../search.ts';
import { type ServiceTool, toolsOf } from './tools.ts';

const NAME_SCORE = 4;
const SERVICE_SCORE = 3;
const DESCRIPTION_SCORE = 1;
/** Further words of a query are ignored. */
const TERMS_MAX = 16;

/** The tools in which most words of the query begin a word, the best match first; all tools for a query without words. */
export function searchTools(
  services: readonly Service[],
  query: string,
): { readonly service: Service; readonly tool: ServiceTool }[] {
  const words = [...new Set(tokenize(query))].slice(0, TERMS_MAX);
  const tools = services.flatMap((service) => toolsOf(service).map((tool) => ({ service, tool })));
  if (words.length === 0) return tools;
  return tools
    .map((found) => ({ found, score: scoreOf(found.service, found.tool, words) }))
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score)
    .map(({ found }) => found);
}

type ScoredTerms = readonly (readonly [score: number, terms: readonly string[]])[];

/** By tool: splitting all texts for each word of a query took 0.8 s for a query of 85 words. */
const terms_of_tools = new WeakMap<ServiceTool, ScoredTerms>();

function termsOf({ slug, name, aliases = [] }: Service, tool: ServiceTool): ScoredTerms {
  const known = terms_of_tools.get(tool);
  if (known !== undefined) return known;
  const terms: ScoredTerms = [
    [NAME_SCORE, tokenize(`${tool.name} ${tool.title}`)],
    [SERVICE_SCORE, tokenize([slug, name, ...aliases].join(' '))],
    [DESCRIPTION_SCORE, tokenize(tool.description)],
  ];
  terms_of_tools.set(tool, terms);
  return terms;
}

function scoreOf(service: Service, tool: ServiceTool, terms: readonly string[]): number {
  const found = termsOf(service, tool);
  return terms.reduce((total, word) => {
    const matching = found.find(([, texts]) => texts.some((one) => one.startsWith(word)));
    return total + (matching?.[0] ?? 0);
  }, 0);
}
