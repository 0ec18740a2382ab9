/**
 * Subscriber for the high-volume platform event Meter_Reading__e.
 *
 * Readings come from gateways that may resend a whole hour after a network
 * outage, so the trigger must be idempotent, keep to the order in which events
 * were published, and survive a bad event in the middle of a batch:
 *
 *   - duplicates are recognised by gateway and sequence number;
 *   - a checkpoint is set after each safe chunk, so that a retry resumes there;
 *   - a lock error is retried by the event bus, anything else is quarantined.
 */
trigger MeterReadingEventTrigger on Meter_Reading__e (after insert) {
    final Integer CHUNK = 200;
    final Integer MAX_RETRIES = 4;
    EventBus.TriggerContext bus = EventBus.TriggerContext.currentContext();

    // ---- 1. Work on a bounded chunk, in publication order --------------------
    List<Meter_Reading__e> chunk = new List<Meter_Reading__e>();
    Set<String> externalKeys = new Set<String>();
    Set<String> serials = new Set<String>();
    for (Meter_Reading__e reading : Trigger.new) {
        if (chunk.size() == CHUNK) {
            break;
        }
        chunk.add(reading);
        serials.add(reading.Meter_Serial__c);
        externalKeys.add(reading.Gateway__c + ':' + reading.Sequence__c.intValue());
    }

    // ---- 2. Look up the meters and the readings that were stored before ------
    Map<String, Meter__c> meters = new Map<String, Meter__c>();
    for (Meter__c meter : [
        SELECT Id, Serial__c, Last_Value__c, Last_Read_At__c, Digits__c
        FROM Meter__c
        WHERE Serial__c IN :serials
        FOR UPDATE
    ]) {
        meters.put(meter.Serial__c, meter);
    }
    Set<String> known = new Set<String>();
    for (Consumption__c stored : [
        SELECT Source_Key__c FROM Consumption__c WHERE Source_Key__c IN :externalKeys
    ]) {
        known.add(stored.Source_Key__c);
    }

    // ---- 3. Turn register values into consumption -----------------------------
    List<Consumption__c> consumption = new List<Consumption__c>();
    List<Quarantined_Event__c> quarantine = new List<Quarantined_Event__c>();
    Map<Id, Meter__c> touched = new Map<Id, Meter__c>();
    for (Meter_Reading__e reading : chunk) {
        String key = reading.Gateway__c + ':' + reading.Sequence__c.intValue();
        if (!known.add(key)) {
            continue;
        }
        Meter__c meter = meters.get(reading.Meter_Serial__c);
        String reason = null;
        if (meter == null) {
            reason = 'Unknown meter ' + reading.Meter_Serial__c;
        } else if (meter.Last_Read_At__c != null && reading.Read_At__c <= meter.Last_Read_At__c) {
            reason = 'Reading is older than the last one on record';
        }
        if (reason != null) {
            quarantine.add(new Quarantined_Event__c(
                Event_Uuid__c = reading.EventUuid,
                Payload__c = JSON.serialize(reading).abbreviate(32000),
                Reason__c = reason
            ));
            continue;
        }

        Decimal previous = meter.Last_Value__c == null ? reading.Value__c : meter.Last_Value__c;
        Decimal delta = reading.Value__c - previous;
        if (delta < 0) {
            // The register rolled over: 99 998 -> 00 003 is five units, not minus.
            delta += Math.pow(10, meter.Digits__c.doubleValue());
        }
        consumption.add(new Consumption__c(
            Meter__c = meter.Id,
            Source_Key__c = key,
            From__c = meter.Last_Read_At__c,
            To__c = reading.Read_At__c,
            Units__c = delta.setScale(3)
        ));
        meter.Last_Value__c = reading.Value__c;
        meter.Last_Read_At__c = reading.Read_At__c;
        touched.put(meter.Id, meter);
    }

    // ---- 4. Store, then tell the bus how far we got ---------------------------
    try {
        insert quarantine;
        upsert consumption Source_Key__c;
        update touched.values();
    } catch (DmlException problem) {
        Boolean contention = problem.getDmlType(0) == StatusCode.UNABLE_TO_LOCK_ROW;
        if (contention && bus.retries < MAX_RETRIES) {
            throw new EventBus.RetryableException('Row lock while storing readings, retry ' + bus.retries);
        }
        // Do not block the stream for ever: park the chunk and move on.
        List<Quarantined_Event__c> parked = new List<Quarantined_Event__c>();
        for (Meter_Reading__e reading : chunk) {
            parked.add(new Quarantined_Event__c(
                Event_Uuid__c = reading.EventUuid,
                Payload__c = JSON.serialize(reading).abbreviate(32000),
                Reason__c = problem.getMessage().abbreviate(255)
            ));
        }
        Database.insert(parked, false);
    }
    bus.setResumeCheckpoint(chunk[chunk.size() - 1].ReplayId);

    // ---- 5. Let downstream billing know which meters moved --------------------
    if (!touched.isEmpty()) {
        List<Billing_Refresh__e> notices = new List<Billing_Refresh__e>();
        for (Id meterId : touched.keySet()) {
            notices.add(new Billing_Refresh__e(Meter_Id__c = meterId, Requested_At__c = Datetime.now()));
        }
        for (Database.SaveResult published : EventBus.publish(notices)) {
            if (!published.isSuccess()) {
                System.debug(LoggingLevel.ERROR, published.getErrors()[0].getMessage());
            }
        }
    }
}
