/**
 * Finds the places of a source where a small change makes another program: conditions turned round, limits moved by one, statements left out, operands
 * swapped. Sources are read after Node has blanked out their types, so that every position is that of the source itself.
 */
import { stripTypeScriptTypes } from 'node:module';
import { type Expression, type Node, parse } from 'acorn';

export interface Mutant {
  /** Below the root. */
  readonly file: string;
  readonly line: number;
  /** The line itself, without what stands around it: places move, what a line says seldom. */
  readonly text: string;
  /** From 1 on, of those in the file that change the same into the same in a line that says the same. */
  readonly nth: number;
  readonly start: number;
  readonly end: number;
  /** In one line, like `to`. */
  readonly from: string;
  readonly to: string;
  /** What is put in the place of the source's `[start, end)`. */
  readonly source: string;
  readonly operator: string;
}

/** What tells a mutant from others as long as its line is as it is. */
export type MutantName = Pick<Mutant, 'file' | 'text' | 'nth' | 'from' | 'to'>;

export function keyOf({ file, text, nth, from, to }: MutantName): string {
  return [file, text, from, to, nth].join('\n');
}

const OTHERS: Readonly<Record<string, readonly [operator: string, to: string]>> = {
  '<': ['boundary', '<='],
  '<=': ['boundary', '<'],
  '>': ['boundary', '>='],
  '>=': ['boundary', '>'],
  '===': ['condition', '!=='],
  '!==': ['condition', '==='],
  '&&': ['condition', '||'],
  '||': ['condition', '&&'],
  '+': ['arithmetic', '-'],
  '-': ['arithmetic', '+'],
  '*': ['arithmetic', '/'],
  '&': ['arithmetic', '|'],
  '|': ['arithmetic', '&'],
};
/** What a mutant there would say: nothing of the program's work. */
const SILENT =
  /^(?:assert|this\.#?logger\b|logger\b|.*\blogger\.(?:debug|info|warn|error)\b|.*\.(?:inc|observe)$)/;

/** All mutants of a source, in its order. */
export function findMutants(file: string, source: string): Mutant[] {
  const text = stripTypeScriptTypes(source, { mode: 'strip' });
  const lines = source.split('\n').map((line) => line.trim());
  const found: Omit<Mutant, 'nth'>[] = [];
  const add = (node: Node, operator: string, to: string, start = node.start, end = node.end): void => {
    const line = source.slice(0, start).split('\n').length;
    const from = oneLine(source.slice(start, end));
    found.push({
      file,
      line,
      text: lines[line - 1]!,
      start,
      end,
      from,
      to: oneLine(to),
      source: to,
      operator,
    });
  };
  visit(parse(text, { ecmaVersion: 'latest', sourceType: 'module' }), text, add);
  const counts = new Map<string, number>();
  return found
    .sort((a, b) => a.start - b.start)
    .map((mutant) => {
      const key = keyOf({ ...mutant, nth: 0 });
      const nth = (counts.get(key) ?? 0) + 1;
      counts.set(key, nth);
      return { ...mutant, nth };
    });
}

const MAX_TEXT = 100;

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').slice(0, MAX_TEXT);
}

type Add = (node: Node, operator: string, to: string, start?: number, end?: number) => void;

function visit(node: Node, text: string, add: Add): void {
  if (isSilent(node, text)) return;
  mutate(node as Expression, text, add);
  for (const value of Object.values(node)) {
    for (const child of Array.isArray(value) ? value : [value]) if (isNode(child)) visit(child, text, add);
  }
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';
}

function isSilent(node: Node, text: string): boolean {
  if (
    node.type === 'ImportDeclaration' ||
    node.type === 'ExportAllDeclaration' ||
    node.type === 'ThrowStatement'
  )
    return true;
  if (node.type !== 'CallExpression') return false;
  const { callee } = node as Extract<Expression, { type: 'CallExpression' }>;
  return SILENT.test(text.slice(callee.start, callee.end));
}

/** Members of the tree that only some nodes have. */
interface Shape {
  readonly left?: Node;
  readonly right?: Node;
  readonly operator?: string;
  readonly test?: Node | null;
  readonly expression?: Node;
  readonly argument?: Node | null;
  readonly value?: unknown;
}

function mutate(node: Node, text: string, add: Add): void {
  const shape = node as Node & Shape;
  switch (node.type) {
    case 'BinaryExpression':
    case 'LogicalExpression':
      return mutateOperator(shape, text, add);
    case 'IfStatement':
    case 'WhileStatement':
    case 'ConditionalExpression': {
      const { test } = shape;
      add(test!, 'condition', `!(${text.slice(test!.start, test!.end)})`);
      return;
    }
    case 'ExpressionStatement':
      if (!isNeeded(shape.expression!, text)) add(node, 'statement', ';');
      return;
    case 'ReturnStatement':
      if (shape.argument === null) add(node, 'statement', ';');
      return;
    case 'ContinueStatement':
      add(node, 'statement', ';');
      return;
    case 'Literal':
      if (typeof shape.value === 'number') add(node, 'number', `(${text.slice(node.start, node.end)} + 1)`);
      else if (typeof shape.value === 'boolean') add(node, 'condition', String(!shape.value));
      return;
    case 'UpdateExpression':
      add(
        node,
        'arithmetic',
        text.slice(node.start, node.end).replace(/\+\+|--/, (it) => (it === '++' ? '--' : '++')),
      );
  }
}

/** A call of a constructor above cannot be left out, nor a directive; of a silent call it makes no difference. */
function isNeeded(expression: Node, text: string): boolean {
  return /^(?:super\b|'use)/.test(text.slice(expression.start, expression.end)) || isSilent(expression, text);
}

function mutateOperator(
  { left, right, operator, start, end, type }: Node & Shape,
  text: string,
  add: Add,
): void {
  const [kind, to] = OTHERS[operator!] ?? [];
  const node = { start, end, type } as Node;
  const between = text.slice(left!.end, right!.start);
  const at = left!.end + between.indexOf(operator!);
  const isText = operator === '+' && [left!, right!].some(({ start: from }) => /['"`]/.test(text[from]!));
  if (kind === undefined || to === undefined || isText) return;
  add(node, kind, to, at, at + operator!.length);
  if (operator === '-' || operator === '/') {
    const [a, b] = [left!, right!].map((side) => text.slice(side.start, side.end));
    add(node, 'operands', `${b} ${operator} ${a}`);
  }
}
