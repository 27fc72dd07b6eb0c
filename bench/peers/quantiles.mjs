/**
 * The middle of many figures, and their ends. In JavaScript, since Node is to read it as well.
 *
 * @module
 */

/**
 * The one in the middle.
 *
 * @param {number[]} values
 * @returns {number}
 */
export function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

/**
 * The value that this share of them does not exceed.
 *
 * @param {number[]} values
 * @param {number} share
 * @returns {number}
 */
export function quantile(values, share) {
  return quantiles(values, [share])[0];
}

/**
 * The same for several shares, sorted only once.
 *
 * @param {number[]} values
 * @param {number[]} shares
 * @returns {number[]}
 */
export function quantiles(values, shares) {
  const sorted = values.toSorted((a, b) => a - b);
  const last = sorted.length - 1;
  return shares.map((share) => sorted[Math.min(last, Math.floor(sorted.length * share))]);
}
