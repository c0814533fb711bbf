/** A reporter for `node --test` that writes one line for each test that was skipped, and nothing else. */
import type { TestEvent } from 'node:test/reporters';

// biome-ignore lint/style/noDefaultExport: the test runner takes a reporter from a module's default export.
export default async function* reportSkipped(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of source) {
    if (event.type !== 'test:pass' || event.data.skip === undefined) continue;
    const reason = typeof event.data.skip === 'string' ? event.data.skip : 'no reason given';
    const file = event.data.file?.replace(/^.*\/tests\//, 'tests/') ?? '';
    yield `  ${file}: ${event.data.name}: ${reason}\n`;
  }
}
