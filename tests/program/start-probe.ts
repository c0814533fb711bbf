/**
 * Loaded into a member before anything else (`--import`): at SIGUSR2 writes which modules have been evaluated since, as JSON, into the file that
 * START_REPORT names.
 */
import { writeFileSync } from 'node:fs';
import { Session } from 'node:inspector';
import { createRequire } from 'node:module';

const { START_REPORT: target = '' } = process.env;
const { moduleLoadList } = process as unknown as { readonly moduleLoadList: readonly string[] };
const session = new Session();
session.connect();
session.post('Profiler.enable');
session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
// What this one needs is not what a start needs.
const before = new Set(moduleLoadList);

process.on('SIGUSR2', () => {
  session.post('Profiler.takePreciseCoverage', (_error, { result }) => {
    // A bundle evaluates a module in a function that has the name of its file.
    const evaluated = result
      .filter(({ url }) => url.includes('/dist/'))
      .flatMap(({ functions }) => functions)
      .filter(
        ({ functionName, ranges }) => /^(node_modules|packages)\//.test(functionName) && ranges[0]!.count > 0,
      );
    const report = {
      bundled: evaluated.map(({ functionName }) => functionName),
      node: moduleLoadList.filter((entry) => !before.has(entry)),
      files: Object.keys(createRequire(import.meta.url).cache),
    };
    writeFileSync(target, JSON.stringify(report));
  });
});
