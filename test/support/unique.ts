let counter = 0;

/** A name that no other test of this process uses; test files have a broker each. */
export function unique(prefix: string): string {
  counter += 1;
  return `${prefix}-${counter}`;
}
