/** A whole number that nobody can foresee, below 2³². */
export function randomNumber(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] as number;
}
