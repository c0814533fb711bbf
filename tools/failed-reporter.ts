/** A reporter for `node --test` that writes one line for each test that failed, and nothing else. */
import type { TestEvent } from 'node:test/reporters';

// biome-ignore lint/style/noDefaultExport: the test runner takes a reporter from a module's default export.
export default async function* reportFailed(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  for await (const event of source) {
    if (event.type !== 'test:fail' || event.data.todo !== undefined) continue;
    // What failed only because something in it did is told by that.
    const { cause, failureType } = event.data.details.error as { cause?: unknown; failureType?: string };
    if (failureType === 'subtestsFailed' && cause !== undefined) continue;
    const file = event.data.file?.replace(/^.*?\/(?=(?:packages|tests|tools)\/)/, '') ?? '';
    yield `${file}: ${event.data.name}\n`;
  }
}
