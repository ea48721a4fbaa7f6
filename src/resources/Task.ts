/** A piece of work to be done. @see https://hl7.org/fhir/R4/task.html */
import { defineResource } from '../fhir/resource.ts';

export default defineResource({
  type: 'Task',
  sealed: {
    plain: ['status', 'patient', 'subject', 'owner', 'requester', 'focus', 'encounter', 'authored-on', 'modified'],
  },
});
