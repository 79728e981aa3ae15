import recipe from '@ferrata/tools/tsup';

// The thread of `holdSockets` is started from a file of its own, which nobody imports.
export default { ...recipe, entry: [...(recipe.entry as string[]), 'src/accept/holder-thread.ts'] };
