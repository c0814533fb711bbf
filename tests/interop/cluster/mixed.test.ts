/** {@link mixedTests} with the releases that speak the v2 API among themselves. */
import { mixedTests } from './mixed.ts';

for (const go of ['3.4', '3.5'] as const) mixedTests(go);
