import recipe from '@ferrata/tools/tsup';

export default recipe;
