/**
 * Clusters of the production member code on a simulated clock, disk and network, driven by a seed: see `docs/simulation.md`.
 */

export { loadSimulation } from './load-simulation.ts';
export { PLANTS, type Plant } from './plant.ts';
export type { SimulationOptions, SimulationResult } from './simulation.ts';
export type { Violation } from './world.ts';
