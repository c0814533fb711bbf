/** {@link mixedTests} with the releases that do not any more. */
import { mixedTests } from './mixed.ts';

for (const go of ['3.6', '3.7'] as const) mixedTests(go);
