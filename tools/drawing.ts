/**
 * Draws the layout into ARCHITECTURE.md, from the lists that are checked: `node tools/drawing.ts`. An arrow points to what is
 * imported; one that follows from others is left out, so that the drawing shows what stands on what.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { type Edges, PACKAGES, ROOMS } from './layout.ts';

const PAGE = new URL('../ARCHITECTURE.md', import.meta.url);

/** `text` with its drawings as the lists have them now. */
export function withDrawings(text: string): string {
  let drawn = place(text, 'packages', PACKAGES);
  for (const [name, rooms] of Object.entries(ROOMS)) drawn = place(drawn, `rooms of ${name}`, rooms);
  return drawn;
}

function place(text: string, name: string, edges: Edges): string {
  const begin = `<!-- Drawn by tools/drawing.ts: ${name} -->\n`;
  const end = '<!-- End of the drawing -->';
  const from = text.indexOf(begin);
  const to = text.indexOf(end, from);
  if (from < 0 || to < 0) throw new Error(`ARCHITECTURE.md has no place for the drawing of the ${name}`);
  return `${text.slice(0, from + begin.length)}\n${drawingOf(edges)}\n${text.slice(to)}`;
}

function drawingOf(edges: Edges): string {
  const lines = Object.keys(edges).flatMap((importer) => {
    const shown = directEdges(edges, importer);
    return shown.length === 0 ? [] : [`  ${importer} --> ${shown.join(' & ')}`];
  });
  return ['```mermaid', 'flowchart TD', ...lines, '```', ''].join('\n');
}

/** What `importer` imports and nothing that it imports does. */
export function directEdges(edges: Edges, importer: string): readonly string[] {
  const targets = edges[importer] ?? [];
  return targets.filter(
    (target) => !targets.some((other) => other !== target && reaches(edges, other, target)),
  );
}

function reaches(edges: Edges, from: string, to: string): boolean {
  return (edges[from] ?? []).some((next) => next === to || reaches(edges, next, to));
}

if (import.meta.main) writeFileSync(PAGE, withDrawings(readFileSync(PAGE, 'utf8')));
