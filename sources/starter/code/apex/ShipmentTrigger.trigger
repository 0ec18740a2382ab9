/**
 * Single entry point for Shipment__c automation.
 *
 * The trigger keeps the ordering rules that must hold inside one transaction:
 *   1. before insert  - stamp carrier defaults and normalise the tracking number
 *   2. before update  - refuse illegal status jumps
 *   3. after  update  - roll the delivered quantity up to the parent order
 *   4. before delete  - protect shipments that have already left the dock
 *
 * Anything that calls out or can wait runs from ShipmentDispatchQueueable.
 */
trigger ShipmentTrigger on Shipment__c (
    before insert, before update, before delete,
    after insert, after update, after undelete
) {
    // Data loads set this hierarchy setting for the integration user only.
    Automation_Bypass__c bypass = Automation_Bypass__c.getInstance();
    if (bypass != null && bypass.Shipment__c == true) {
        return;
    }

    final Set<String> closedStatuses = new Set<String>{ 'Delivered', 'Returned', 'Lost' };
    final Map<String, Set<String>> allowedNext = new Map<String, Set<String>>{
        'Draft'      => new Set<String>{ 'Packed', 'Cancelled' },
        'Packed'     => new Set<String>{ 'In Transit', 'Draft', 'Cancelled' },
        'In Transit' => new Set<String>{ 'Delivered', 'Returned', 'Lost' },
        'Lost'       => new Set<String>{ 'Delivered' }
    };

    if (Trigger.isBefore && Trigger.isInsert) {
        Set<Id> carrierIds = new Set<Id>();
        for (Shipment__c shipment : Trigger.new) {
            if (shipment.Carrier__c != null) {
                carrierIds.add(shipment.Carrier__c);
            }
        }
        Map<Id, Carrier__c> carriers = new Map<Id, Carrier__c>([
            SELECT Id, Default_Service__c, Cutoff_Hour__c
            FROM Carrier__c
            WHERE Id IN :carrierIds
            WITH SECURITY_ENFORCED
        ]);

        for (Shipment__c shipment : Trigger.new) {
            if (String.isNotBlank(shipment.Tracking_Number__c)) {
                shipment.Tracking_Number__c = shipment.Tracking_Number__c
                    .replaceAll('[^A-Za-z0-9]', '')
                    .toUpperCase();
            }
            Carrier__c carrier = carriers.get(shipment.Carrier__c);
            if (carrier == null) {
                continue;
            }
            if (String.isBlank(shipment.Service_Level__c)) {
                shipment.Service_Level__c = carrier.Default_Service__c;
            }
            if (shipment.Planned_Pickup__c == null) {
                Integer cutoff = carrier.Cutoff_Hour__c == null ? 16 : carrier.Cutoff_Hour__c.intValue();
                Date pickup = Datetime.now().hour() < cutoff ? Date.today() : Date.today().addDays(1);
                shipment.Planned_Pickup__c = pickup;
            }
        }
    }

    if (Trigger.isBefore && Trigger.isUpdate) {
        for (Shipment__c shipment : Trigger.new) {
            String previous = Trigger.oldMap.get(shipment.Id).Status__c;
            String next = shipment.Status__c;
            if (previous == next) {
                continue;
            }
            Set<String> targets = allowedNext.get(previous);
            if (targets == null || !targets.contains(next)) {
                shipment.Status__c.addError(
                    String.format('A shipment cannot go from {0} to {1}.', new List<String>{ previous, next })
                );
                continue;
            }
            if (next == 'Delivered' && shipment.Delivered_On__c == null) {
                shipment.Delivered_On__c = Datetime.now();
            }
        }
    }

    if (Trigger.isBefore && Trigger.isDelete) {
        for (Shipment__c shipment : Trigger.old) {
            if (shipment.Status__c == 'In Transit' || closedStatuses.contains(shipment.Status__c)) {
                shipment.addError('Shipments that have left the dock are kept for audit; cancel the order line instead.');
            }
        }
    }

    if (Trigger.isAfter) {
        // Collect only the orders whose totals can have moved.
        Set<Id> orderIds = new Set<Id>();
        List<Id> readyToDispatch = new List<Id>();
        for (Shipment__c shipment : Trigger.new) {
            Shipment__c old = Trigger.isUpdate ? Trigger.oldMap.get(shipment.Id) : null;
            Boolean statusMoved = old == null || old.Status__c != shipment.Status__c;
            Boolean quantityMoved = old == null || old.Quantity__c != shipment.Quantity__c;
            if (statusMoved || quantityMoved) {
                orderIds.add(shipment.Order__c);
            }
            if (statusMoved && shipment.Status__c == 'Packed') {
                readyToDispatch.add(shipment.Id);
            }
        }
        orderIds.remove(null);

        if (!orderIds.isEmpty()) {
            Map<Id, Order> totals = new Map<Id, Order>();
            for (Id orderId : orderIds) {
                totals.put(orderId, new Order(Id = orderId, Delivered_Quantity__c = 0));
            }
            for (AggregateResult row : [
                SELECT Order__c orderId, SUM(Quantity__c) delivered
                FROM Shipment__c
                WHERE Order__c IN :orderIds AND Status__c = 'Delivered'
                GROUP BY Order__c
            ]) {
                Decimal delivered = (Decimal) row.get('delivered');
                totals.get((Id) row.get('orderId')).Delivered_Quantity__c = delivered;
            }
            update totals.values();
        }

        Boolean canEnqueue = Limits.getQueueableJobs() < Limits.getLimitQueueableJobs();
        if (!readyToDispatch.isEmpty() && canEnqueue && !System.isBatch()) {
            System.enqueueJob(new ShipmentDispatchQueueable(readyToDispatch));
        }
    }
}
