/** Who asked for what, and when, before something was wrong: as a picture, for what is hard to see in lines. */
import type { Violation } from './world.ts';

/** A request and what came of it. */
export interface Operation {
  readonly who: string;
  readonly what: string;
  readonly askedMs: number;
  /** null: nothing has come yet. */
  answeredMs: number | null;
  outcome: string;
  /** The answer was judged, and is wrong. */
  isWrong: boolean;
}

/** Requests that are remembered: those that went before a violation. */
export const MAX_OPERATIONS = 200;
const ROW_PX = 26;
const LEFT_PX = 70;
const WIDTH_PX = 1400;
const HEAD_PX = 60;
/** Narrower than this a bar could not be seen. */
const MIN_BAR_PX = 3;
const MAX_TEXT = 24;
const TICKS = 10;

/** An SVG document: a line for each client, a bar for each request from its question to its answer. */
export function pictureOf(operations: readonly Operation[], violation: Violation): string {
  const { property, details, atMs } = violation;
  const fromMs = Math.min(atMs, ...operations.map(({ askedMs }) => askedMs));
  const spanMs = Math.max(1, atMs - fromMs);
  const x = (ms: number): number => LEFT_PX + ((ms - fromMs) / spanMs) * (WIDTH_PX - LEFT_PX - 20);
  const names = [...new Set(operations.map(({ who }) => who))].sort();
  const height = HEAD_PX + (names.length + 1) * ROW_PX;
  const ticks = Array.from({ length: TICKS + 1 }, (_, i) => fromMs + (spanMs * i) / TICKS);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH_PX}" height="${height}" font-family="monospace" font-size="10">`,
    '<rect width="100%" height="100%" fill="white"/>',
    `<text x="10" y="16" font-size="12">${escapeText(`${property}: ${details.split('\n')[0]!.slice(0, 190)}`)}</text>`,
    ...ticks.map(
      (ms) =>
        `<path d="M${px(x(ms))} 36V${height - ROW_PX}" stroke="#ddd"/><text x="${px(x(ms))}" y="${height - 8}" fill="#666">${(ms / 1000).toFixed(3)}</text>`,
    ),
    ...names.map((name, row) => `<text x="10" y="${HEAD_PX + row * ROW_PX + 14}">${escapeText(name)}</text>`),
    ...operations.map((operation) => barOf(operation, names.indexOf(operation.who), x, atMs)),
    '</svg>\n',
  ].join('\n');
}

function barOf(operation: Operation, row: number, x: (ms: number) => number, endMs: number): string {
  const { what, outcome, askedMs, answeredMs, isWrong } = operation;
  const left = x(askedMs);
  const width = Math.max(MIN_BAR_PX, x(answeredMs ?? endMs) - left);
  const y = HEAD_PX + row * ROW_PX;
  const fill = isWrong ? '#e33' : answeredMs === null ? '#bbb' : outcome.startsWith('ok') ? '#9c9' : '#eb8';
  const text = escapeText(what.slice(0, MAX_TEXT));
  const title = escapeText(
    `${what}: ${outcome} (${askedMs.toFixed(3)} to ${answeredMs?.toFixed(3) ?? '?'} ms)`,
  );
  return [
    `<g><title>${title}</title>`,
    `<rect x="${px(left)}" y="${y}" width="${px(width)}" height="${ROW_PX - 8}" fill="${fill}" stroke="#555"/>`,
    `<text x="${px(left + 2)}" y="${y + 12}">${text}</text></g>`,
  ].join('');
}

function px(value: number): string {
  return value.toFixed(1);
}

/** Control characters, as marks begin with, are no XML. */
function escapeText(text: string): string {
  return text
    .replace(/[^\x20-\x7e]/g, '.')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;');
}
