/**
 * `npm run operator-chart`: Helm lints the chart and renders it with several values; `-- --write` keeps what comes out, which tests look at and give to
 * an API server, and otherwise it must be what is kept. `HELM` names a helm; without it one is built from its sources, which needs Go and some minutes.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import {
  CHART,
  digestLine,
  RELEASE,
  RELEASE_NAMESPACE,
  RENDERED,
  RENDERINGS,
  renderedText,
} from '../support/kubernetes/chart.ts';
import { ROOT } from '../support/programs.ts';

const HELM_MODULE = 'helm.sh/helm/v3/cmd/helm';
const HELM_VERSION = 'v3.18.6';
/** What templates are told that they are installed on. */
const KUBERNETES_VERSION = '1.36.0';

function findHelm(): string {
  const told = process.env['HELM'];
  if (told !== undefined) return told;
  const directory = `${ROOT}.cache/helm-${HELM_VERSION}`;
  const helm = `${directory}/helm`;
  if (existsSync(helm)) return helm;
  mkdirSync(directory, { recursive: true });
  const env = { ...process.env, GOBIN: directory };
  const built = spawnSync('go', ['install', `${HELM_MODULE}@${HELM_VERSION}`], { env, stdio: 'inherit' });
  if (built.error !== undefined || built.status !== 0)
    throw new Error('there is no helm: name one with HELM, or install Go, which builds one');
  return helm;
}

const isWriting = process.argv.includes('--write');
const helm = findHelm();
const run = (...args: string[]): string => execFileSync(helm, args, { encoding: 'utf8' });
console.log(run('version', '--short').trim());
const chart = CHART.pathname;
const where = [RELEASE, chart, '--namespace', RELEASE_NAMESPACE, '--kube-version', KUBERNETES_VERSION];
for (const [name, values] of Object.entries(RENDERINGS)) {
  const set = values.flatMap((value) => ['--set-json', value]);
  console.log(run('lint', '--strict', chart, ...set).trim());
  const text = digestLine() + run('template', ...where, ...set);
  if (isWriting) writeFileSync(new URL(`${name}.yaml`, RENDERED), text);
  else if (text !== renderedText(name))
    throw new Error(`${name}.yaml is not what Helm makes of the chart: npm run operator-chart -- --write`);
  console.log(`${name}: ${isWriting ? 'written' : 'as it is kept'}`);
}
